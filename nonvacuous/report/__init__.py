"""The static HTML report, and the default figure of every claim: pure functions of stored verdicts."""
