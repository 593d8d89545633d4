//! The JSON around every answer: `{"droplet": …}` for one, `{"droplets": […], "links": …, "meta":
//! …}` for many. Read by one piece of code for all resources, by the names that each resource
//! gives.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A kind of thing that the API gives, alone or in lists.
pub trait Resource: DeserializeOwned + Send + 'static {
    /// The key of one in an answer.
    const ONE: &'static str;
    /// The key of many in an answer.
    const MANY: &'static str;
}

/// `{"droplet": …}`.
#[derive(Debug)]
pub(crate) struct One<T>(pub(crate) T);

/// One page of many.
#[derive(Debug)]
pub(crate) struct Many<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page is.
    pub(crate) next: Option<String>,
}

/// `links` of a list. Absent, or without `pages`, when there is one page only.
#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(default)]
    pages: Option<PageLinks>,
}

#[derive(Debug, Deserialize)]
struct PageLinks {
    #[serde(default)]
    next: Option<String>,
}

impl<'de, T: Resource> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = deserializer.deserialize_map(Fields {
            key: T::ONE,
            value: PhantomData::<T>,
        })?;
        let value = read.value.ok_or_else(|| D::Error::missing_field(T::ONE))?;
        Ok(Self(value))
    }
}

impl<'de, T: Resource> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = deserializer.deserialize_map(Fields {
            key: T::MANY,
            value: PhantomData::<Option<Vec<T>>>,
        })?;
        // Missing is an error, so that an answer of another kind is not taken for an empty list;
        // `null` is how some lists say that they are empty.
        let items = read.value.ok_or_else(|| D::Error::missing_field(T::MANY))?;
        Ok(Self {
            items: items.unwrap_or_default(),
            next: read.links.pages.and_then(|pages| pages.next),
        })
    }
}

/// Reads the value under `key` and the links, and passes over everything else.
struct Fields<V> {
    key: &'static str,
    value: PhantomData<V>,
}

struct Read<V> {
    value: Option<V>,
    links: Links,
}

impl<'de, V: Deserialize<'de>> Visitor<'de> for Fields<V> {
    type Value = Read<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with the key {:?}", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read<V>, A::Error> {
        let mut read = Read {
            value: None,
            links: Links::default(),
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                read.value = Some(map.next_value()?);
            } else if key == "links" {
                read.links = map.next_value::<Option<Links>>()?.unwrap_or_default();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(read)
    }
}

/// For fields that are lists and may be `null`.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Thing {
        id: u32,
    }

    impl Resource for Thing {
        const ONE: &'static str = "thing";
        const MANY: &'static str = "things";
    }

    fn many(text: &str) -> Result<Many<Thing>, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn one_is_found_among_what_is_not_known() {
        let One(thing) =
            serde_json::from_str::<One<Thing>>(r#"{"new":[1],"thing":{"id":7,"x":1}}"#).unwrap();
        assert_eq!(thing, Thing { id: 7 });
        let error = serde_json::from_str::<One<Thing>>("{}").unwrap_err();
        assert!(error.to_string().contains("thing"), "{error}");
    }

    #[test]
    fn a_page_knows_where_the_next_one_is() {
        let page = many(
            r#"{"things":[{"id":1},{"id":2}],"links":{"pages":{"next":"n","last":"l"}},"meta":{"total":3}}"#,
        )
        .unwrap();
        assert_eq!(page.items, [Thing { id: 1 }, Thing { id: 2 }]);
        assert_eq!(page.next.as_deref(), Some("n"));
    }

    #[test]
    fn the_last_page_may_say_so_in_many_ways() {
        for links in [
            "",
            r#","links":{}"#,
            r#","links":null"#,
            r#","links":{"pages":{}}"#,
            r#","links":{"pages":null}"#,
            r#","links":{"pages":{"first":"f","prev":"p"}}"#,
        ] {
            let page = many(&format!(r#"{{"things":[]{links}}}"#)).unwrap();
            assert_eq!(page.next, None, "{links}");
        }
    }

    #[test]
    fn an_answer_of_another_kind_is_no_empty_list() {
        assert!(many(r#"{"others":[]}"#).is_err());
        assert!(many(r#"{"things":null}"#).unwrap().items.is_empty());
    }
}
