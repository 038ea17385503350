"""The web application, as gunicorn serves it: `gunicorn wsgi:app`. Importing it never starts the bot."""

from web import create_app

app = create_app()
