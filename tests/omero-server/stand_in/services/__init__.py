"""What OMERO.web calls, one file for each group of services."""
