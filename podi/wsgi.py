"""The WSGI application, for production set-ups that serve REST by a WSGI server beside daphne."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "podi.settings")
application = get_wsgi_application()
