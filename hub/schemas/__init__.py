"""Response types that clients see, shared by the API, live views, alarms and health."""
