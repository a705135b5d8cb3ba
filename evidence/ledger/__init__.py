"""The evidence ledger in SQL: tables, writes in group commits, reads beside them."""
