"""The nginx of each platform, told to keep pictures for visitors (omero_web_image_cache)."""


def test_visitor_is_led_to_the_login_page_where_pictures_are_not_public(ask):
    answer = ask("/webgateway/render_thumbnail/1/")
    login = "/webclient/login/?url=%2Fwebgateway%2Frender_thumbnail%2F1%2F"
    assert (answer.status, answer.headers["Location"]) == (302, login)
