"""Delivery of finished calls, in the control process: intake, spool, one sender per destination.

Its thread shares nothing with the local store and the HTTP side but the spool, so that none of the three can
hold the others up. `service.Delivery` is the door.
"""
