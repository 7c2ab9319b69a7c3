/* Python 3.11 dropped this header; IcePy includes it and uses nothing of it. */
