//! The `Date` of answers (RFC 9110, section 6.6.1), written once a second.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

/// `Sun, 06 Nov 1994 08:49:37 GMT`
const LENGTH: usize = 29;

struct Written {
    text: [u8; LENGTH],
    until: SystemTime,
}

thread_local! {
    static LAST: RefCell<Written> = const {
        RefCell::new(Written { text: [b' '; LENGTH], until: SystemTime::UNIX_EPOCH })
    };
}

/// Hands the date as text to `write`.
pub(super) fn with(write: impl FnOnce(&[u8])) {
    #[expect(
        clippy::disallowed_methods,
        reason = "of the wire, not of the product: nothing is decided by it"
    )]
    let now = SystemTime::now();
    LAST.with_borrow_mut(|last| {
        if now >= last.until || now + Duration::from_secs(1) < last.until {
            // A date has this length always.
            let _written = write!(&mut last.text[..], "{}", HttpDate::from(now));
            let since = now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            last.until = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() + 1);
        }
        write(&last.text);
    });
}
