//! Lists as tables without borders: columns aligned by spaces, so that `awk` and eyes both read
//! them.

use comfy_table::{ContentArrangement, presets};

use super::clean;

/// A table in the making.
#[derive(Debug)]
pub(crate) struct Table {
    inner: comfy_table::Table,
    empty: &'static str,
}

impl Table {
    /// A table with these headings; `empty` is said in place of a table without rows.
    pub(crate) fn new<const N: usize>(headings: [&str; N], empty: &'static str) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_style(presets::NOTHING)
            // One row stays one line, however narrow the window is.
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(headings);
        Self { inner, empty }
    }

    /// Adds a row. Control characters are taken out: a row is one line.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.map(|cell| {
            let cell = clean(&cell.replace('\n', " "));
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell
            }
        });
        self.inner.add_row(cells);
    }

    /// The text.
    pub(crate) fn text(mut self) -> String {
        if self.inner.is_empty() {
            return self.empty.to_owned();
        }
        for column in self.inner.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.inner.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_rows_are_lines() {
        let mut table = Table::new(["NAME", "STATUS"], "none");
        table.row(["echo".into(), "running".into()]);
        table.row(["a long\nname\u{1b}[1m".into(), String::new()]);
        let text = table.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let column = lines[0].find("STATUS").unwrap();
        assert_eq!(lines[1].find("running"), Some(column), "{text}");
        assert!(
            lines[2].starts_with("a long name") && lines[2].ends_with('-'),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(lines.iter().all(|line| !line.ends_with(' ')), "{text:?}");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(
            Table::new(["A"], "there is nothing").text(),
            "there is nothing"
        );
    }
}
