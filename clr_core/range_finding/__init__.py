"""Where the band should lie: the range test."""
