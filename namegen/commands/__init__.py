"""`namegen` on the command line, one command a file. Unlike the job, it needs neither Prefect nor torch."""
