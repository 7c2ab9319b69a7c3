from django.urls import path

from . import views

urlpatterns = [
    path("login/", views.login, name="oidc_login"),
    path("callback/", views.Callback.as_view(), name="oidc_callback"),
]
