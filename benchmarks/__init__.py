"""What Outfeed costs, measured against its peers in the same run. Never a timed test: see RESULTS.md."""
