"""What two parts of leadgate or more need; no part's rules live here."""
