"""A stand-in for OMERO.server: what OMERO.web asks of it, answered over real Ice 3.6.

It is for tests and for the demo. It proves OMERO.web's side only: that OMERO.web, as a site runs it, logs in, shows
images and streams files. It says nothing about any real OMERO.server, and keeps nothing that anybody saves.
"""
