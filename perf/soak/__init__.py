"""A gateway under mixed load and faults for half an hour: does anything grow, leak or go uncounted?"""
