"""Exchange calendars: sessions, the bars they allow, and clocks."""
