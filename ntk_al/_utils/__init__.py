"""What every floor stands on; nothing here knows of networks."""
