//! The smallest picture and sound that are well-formed, in Base64 as the protocol carries them.

/// A red pixel, as `image/png`.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// No sample at all, of one channel of 8 bits at 8 kHz, as `audio/wav`.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
