"""The command line. Progress goes to standard error, answers to standard output."""
