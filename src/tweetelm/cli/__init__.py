"""What every command shares: flags, help pages, one-line errors."""
