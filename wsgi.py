"""The web application, as gunicorn serves it: `gunicorn wsgi:app`. Importing it never starts the bot."""

from bot.build import application

app = application()
