"""Writes the catalogue of events for people and tools: AsyncAPI, static pages, and folders for EventCatalog."""
