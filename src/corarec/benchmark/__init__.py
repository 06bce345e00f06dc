"""Running systems to measure them: runs, their rivals beside them, and a log of looks at test."""
