"""The ledger: the gateway's durable memory, in SQL, behind `SqlLedger`."""
