"""The WSGI application: ``gunicorn -c gunicorn_conf.py wsgi:app``."""

from webchat import create_app

app = create_app()
