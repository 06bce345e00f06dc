"""Results drawn: tables for a terminal and Markdown, one HTML page. It runs and scores nothing."""
