//! Enumerations that stay readable when DigitalOcean adds a value.
//!
//! A list must not fail as a whole because one droplet has a status that this version does not
//! know, so an unknown value is kept as it came in `Other`.

/// Makes an enumeration of words as they stand on the wire, with `Other(String)` for the rest.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$doc])* $variant,)+
            /// A value that this version does not know, as it came.
            Other(String),
        }

        impl $name {
            /// The word on the wire.
            #[must_use]
            $vis fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }
    };
}
pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    open_enum! {
        /// For the test.
        enum Colour {
            /// Red.
            Red = "red",
            /// Green.
            LightGreen = "light-green",
        }
    }

    #[test]
    fn a_value_that_is_new_is_kept_as_it_came() {
        let read: Vec<Colour> = serde_json::from_str(r#"["light-green","mauve"]"#).unwrap();
        assert_eq!(read, [Colour::LightGreen, Colour::Other("mauve".into())]);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(written, r#"["light-green","mauve"]"#);
        assert_eq!(Colour::from("red".to_owned()), Colour::Red);
    }
}
