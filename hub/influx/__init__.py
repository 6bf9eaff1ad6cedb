"""The optional second sink: telemetry and the counts of doors, to an InfluxDB, after the database."""
