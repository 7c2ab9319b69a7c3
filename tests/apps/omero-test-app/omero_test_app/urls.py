try:
    from django.urls import re_path
except ImportError:  # Django 1.8
    from django.conf.urls import url as re_path

from . import views

urlpatterns = [
    re_path("^download/$", views.download),
    re_path("^headers/$", views.headers),
    re_path("^page/$", views.page),
    re_path("^reach/$", views.reach),
    re_path("^top_links/$", views.top_links),
    re_path("^upload/$", views.upload),
]
