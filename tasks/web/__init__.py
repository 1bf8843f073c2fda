"""What our processes show over HTTP."""
