"""A stand-in for OMERO.server: what OMERO.web asks of it, answered over real Ice 3.6.

It is for tests and for the demo. It proves OMERO.web's side only: that OMERO.web, as a site runs it, logs in, shows
images and streams files. It says nothing about any real OMERO.server, and keeps nothing that anybody saves.
OMERO.web 5.33.2, 5.29.3 and, on Python 2.7, 5.4 talk to it; the README says how far each of them has been seen to.
"""
