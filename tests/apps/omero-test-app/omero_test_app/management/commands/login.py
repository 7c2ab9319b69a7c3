from importlib import import_module
from uuid import uuid4

from django.conf import settings
from django.core.management import BaseCommand
from django.http import HttpRequest
from omeroweb.connector import Connector


class Command(BaseCommand):
    help = "Write the session that a login to an OMERO.server would leave, and print its key."

    def add_arguments(self, parser):
        parser.add_argument("user", type=int, help="the user's id")

    def handle(self, user, **options):
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore()
        Connector(server_id=1, is_secure=True, omero_session_key=str(uuid4()), user_id=user).to_session(request)
        request.session.save()
        self.stdout.write(request.session.session_key)
