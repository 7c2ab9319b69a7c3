from django.urls import path

from . import views

urlpatterns = [
    path("download/", views.download),
    path("headers/", views.headers),
    path("top_links/", views.top_links),
    path("user/", views.user),
]
