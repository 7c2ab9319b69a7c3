from importlib import import_module
from uuid import uuid4

from django.conf import settings
from django.core.management import BaseCommand

from omero_test_app.sessions import log_in


class Command(BaseCommand):
    help = "Write the session that a login to an OMERO.server would leave, and print its key."

    def add_arguments(self, parser):
        parser.add_argument("user", type=int, help="the user's id")

    def handle(self, user, **options):
        session = import_module(settings.SESSION_ENGINE).SessionStore()
        log_in(session, user, str(uuid4()))
        session.save()
        self.stdout.write(session.session_key)
