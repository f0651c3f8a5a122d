"""Images and jobs: lists, a job's page, its pictures, and what can be done about it."""
