"""The processes under the supervisor: every long-lived object is built and wired here, and nowhere else."""
