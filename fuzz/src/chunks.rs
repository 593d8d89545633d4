//! The first bytes of an input say how the rest is cut into chunks.

/// The sizes of the first chunks, and what is to be cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut<'a> {
    sizes: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// How many bytes say something about sizes.
const SIZES: usize = 4;

impl<'a> Cut<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Self {
        let (sizes, whole) = data.split_at(data.len().min(SIZES));
        Self { sizes, whole }
    }

    /// The chunks: sizes in turn, none empty, all bytes.
    pub(crate) fn chunks(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.whole;
        let mut sizes = self.sizes.iter().cycle();
        std::iter::from_fn(move || {
            let size = usize::from(*sizes.next()?).max(1).min(rest.len());
            let (chunk, after) = rest.split_at(size);
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        })
    }
}
