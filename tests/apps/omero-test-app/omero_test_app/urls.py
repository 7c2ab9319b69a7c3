from django.urls import path

from . import views

urlpatterns = [
    path("download/", views.download),
    path("headers/", views.headers),
    path("user/", views.user),
]
