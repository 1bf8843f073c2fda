"""What a message, a delivery and a digest are. Knows no platform, no Celery and no SDK."""
