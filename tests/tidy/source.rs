//! A Rust file cut into code, comments and tokens.
//!
//! Not here: any rule. It is a scanner and no parser: it knows literals, comments, attributes and matching brackets,
//! which is all that the rules ask for.
//! Must always hold: `code` and `comments` have the length and the line breaks of `text`, so that one offset fits all three.

use std::ops::Range;

/// A Rust source file.
pub(crate) struct Source {
    /// Path relative to the root of the repository, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// Comments and the insides of literals blanked out.
    pub(crate) code: String,
    /// Everything but comments blanked out.
    pub(crate) comments: String,
    tokens: Vec<Range<usize>>,
    /// For each opening bracket the token that closes it.
    close: Vec<usize>,
    tests: Vec<Range<usize>>,
}

/// `fn` with a body.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Line of the word `fn`.
    pub(crate) line: usize,
    /// Lines from there to the closing brace.
    pub(crate) lines: usize,
}

/// `mod name;`: a module in a file of its own.
pub(crate) struct ModuleFile {
    /// Inline modules around the declaration, then its own name.
    pub(crate) path: Vec<String>,
    /// The value of `#[path = "…"]`.
    pub(crate) file: Option<String>,
    /// Declared under `#[cfg(test)]`.
    pub(crate) test: bool,
}

impl Source {
    /// Scans `text`.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let tokens = tokenize(&code);
        let close = match_brackets(&code, &tokens);
        let mut source =
            Self { path: path.into(), text: text.into(), code, comments, tokens, close, tests: Vec::new() };
        source.tests = source.find_tests();
        source
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token at `i`; empty past the end.
    pub(crate) fn token(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("", |t| &self.code[t.clone()])
    }

    /// Whether the tokens from `i` on are `words`.
    pub(crate) fn is(&self, i: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, w)| self.token(i + n) == *w)
    }

    /// The token that closes the bracket at `i`.
    pub(crate) fn closing(&self, i: usize) -> usize {
        self.close[i]
    }

    /// Line of the token at `i`, counted from 1.
    pub(crate) fn line(&self, i: usize) -> usize {
        let at = self.tokens.get(i).map_or(self.text.len(), |t| t.start);
        1 + self.text[..at].bytes().filter(|b| *b == b'\n').count()
    }

    /// `file:line` of the token at `i`.
    pub(crate) fn place(&self, i: usize) -> String {
        format!("{}:{}", self.path, self.line(i))
    }

    /// Whether the token at `i` is compiled for tests only.
    pub(crate) fn in_test(&self, i: usize) -> bool {
        self.tests.iter().any(|r| r.contains(&i))
    }

    /// The inline modules around the token at `i`, outermost first.
    pub(crate) fn inline_modules(&self, i: usize) -> Vec<String> {
        (0..i)
            .filter(|&m| self.is_module(m) && self.token(m + 2) == "{" && self.closing(m + 2) > i)
            .map(|m| self.token(m + 1).to_owned())
            .collect()
    }

    /// Modules that live in files of their own.
    pub(crate) fn module_files(&self) -> Vec<ModuleFile> {
        let mut file = None;
        let mut out = Vec::new();
        for i in 0..self.len() {
            if self.is(i, &["#", "[", "path", "="]) {
                let literal = &self.text[self.tokens[i + 3].end..self.tokens[self.closing(i + 1)].start];
                file = Some(literal.trim().trim_matches('"').to_owned());
            }
            if self.is_module(i) && self.token(i + 2) == ";" {
                let mut path = self.inline_modules(i);
                path.push(self.token(i + 1).to_owned());
                out.push(ModuleFile { path, file: file.take(), test: self.in_test(i) });
            }
        }
        out
    }

    /// Functions with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        (0..self.len())
            .filter(|&i| self.token(i) == "fn" && is_word(self.token(i + 1)))
            .filter_map(|i| {
                let open = self.item_end(i).0?;
                let (line, last) = (self.line(i), self.line(self.closing(open)));
                Some(Function { name: self.token(i + 1).to_owned(), line, lines: last - line + 1 })
            })
            .collect()
    }

    fn is_module(&self, i: usize) -> bool {
        self.token(i) == "mod" && is_word(self.token(i + 1))
    }

    /// From inside an item: its body's opening brace if it has one, and its last token.
    fn item_end(&self, start: usize) -> (Option<usize>, usize) {
        let mut i = start;
        while i < self.len() {
            match self.token(i) {
                "(" | "[" => i = self.closing(i),
                "{" => return (Some(i), self.closing(i)),
                ";" => return (None, i),
                _ => {}
            }
            i += 1;
        }
        (None, self.len())
    }

    /// Items under `#[cfg(test)]`, `#[test]` and their kin.
    fn find_tests(&self) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        for i in 0..self.len() {
            if !self.is(i, &["#", "["]) {
                continue;
            }
            let end = self.closing(i + 1);
            let words: Vec<_> = (i + 2..end).map(|t| self.token(t)).collect();
            let cfg = words[..words.len().min(2)] == ["cfg", "("];
            let marks_test = words.contains(&"test") && !words.contains(&"not");
            if marks_test && (cfg || words.last() == Some(&"test")) {
                out.push(i..self.item_end(end + 1).1 + 1);
            }
        }
        out
    }
}

/// Whether a token is an identifier or a keyword.
pub(crate) fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Code and comments of a file, each with the rest blanked out.
fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut comments) = (bytes.to_vec(), blank(bytes));
    let mut i = 0;
    while i < bytes.len() {
        let rest = &text[i..];
        let after_word = i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_');
        if let Some(len) = comment(rest) {
            comments[i..i + len].copy_from_slice(&bytes[i..i + len]);
            let blanked = blank(&bytes[i..i + len]);
            code[i..i + len].copy_from_slice(&blanked);
            i += len;
        } else if let Some((head, len, tail)) = literal(rest, after_word) {
            let inside = i + head..i + len - tail;
            let blanked = blank(&bytes[inside.clone()]);
            code[inside].copy_from_slice(&blanked);
            i += len;
        } else {
            i += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    let text = |b| String::from_utf8(b).expect("only whole characters are blanked");
    (text(code), text(comments))
}

fn blank(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }).collect()
}

/// Length of the comment that `rest` starts with. Block comments nest.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        match &rest.as_bytes()[i..rest.len().min(i + 2)] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return Some(i);
        }
    }
    Some(rest.len())
}

/// The literal that `rest` starts with: length of its opening, of the whole, and of its closing.
fn literal(rest: &str, after_word: bool) -> Option<(usize, usize, usize)> {
    if rest.starts_with('"') {
        return Some(quoted(rest, 1, '"'));
    }
    if rest.starts_with('\'') {
        let mut chars = rest.chars().skip(1);
        let (first, second) = (chars.next()?, chars.next()?);
        // 'a without a second quote is a lifetime.
        return (first == '\\' || second == '\'').then(|| quoted(rest, 1, '\''));
    }
    if after_word {
        return None;
    }
    let prefix = ["br", "cr", "r"].into_iter().find(|p| rest.starts_with(p))?;
    let hashes = rest[prefix.len()..].bytes().take_while(|b| *b == b'#').count();
    let head = prefix.len() + hashes + 1;
    if !rest[prefix.len() + hashes..].starts_with('"') {
        return None;
    }
    let tail = format!("\"{}", "#".repeat(hashes));
    let len = rest[head..].find(&tail).map_or(rest.len(), |at| head + at + tail.len());
    Some((head, len, tail.len()))
}

/// A literal with escapes that ends at `quote`.
fn quoted(rest: &str, head: usize, quote: char) -> (usize, usize, usize) {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(head) {
        if !escaped && c == quote {
            return (head, at + 1, 1);
        }
        escaped = !escaped && c == '\\';
    }
    (head, rest.len(), 0)
}

/// Words, `::`, and single characters.
fn tokenize(code: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut i = 0;
    for (at, c) in code.char_indices() {
        if at < i || c.is_whitespace() {
            continue;
        }
        let word = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len() - at);
        let len = match word {
            0 if code[at..].starts_with("::") => 2,
            0 => c.len_utf8(),
            n => n,
        };
        i = at + len;
        out.push(at..i);
    }
    out
}

fn match_brackets(code: &str, tokens: &[Range<usize>]) -> Vec<usize> {
    let mut close = vec![tokens.len(); tokens.len()];
    let mut open = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match &code[token.clone()] {
            "(" | "[" | "{" => open.push(i),
            ")" | "]" | "}" => {
                if let Some(start) = open.pop() {
                    close[start] = i;
                }
            }
            _ => {}
        }
    }
    close
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Source {
        Source::new("x.rs", text)
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a /* b /* c */ d */ e // f\n\"g\\\" h\" 'i' '\\'' r#\"j \" k\"# br\"l\" 'm: x";
        let source = scan(text);
        for hidden in ["b", "c", "d", "f", "g", "h", "i", "j", "k", "l"] {
            assert!((0..source.len()).all(|t| source.token(t) != hidden), "{hidden} in {}", source.code);
        }
        for seen in ["a", "e", "m", "x"] {
            assert!((0..source.len()).any(|t| source.token(t) == seen), "{seen} not in {}", source.code);
        }
        assert_eq!((source.code.len(), source.comments.len()), (text.len(), text.len()));
        assert_eq!(source.comments.split_whitespace().collect::<String>(), "/*b/*c*/d*///f");
    }

    #[test]
    fn functions_are_measured_by_their_bodies() {
        let source = scan("trait T { fn a(&self) -> [u8; 2]; }\nfn b(f: fn(u8)) -> [u8; 2]\n{\n x();\n}\n");
        let found: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("b".to_owned(), 2, 4)]);
    }

    #[test]
    fn test_code_is_known() {
        let source = scan(
            "fn a() { w(); }\n#[cfg(test)]\nmod tests { fn x() { y(); } }\n#[tokio::test]\nasync fn t() { z(); }\n\
             #[cfg(not(test))] fn c() { v(); }",
        );
        let in_test = |word: &str| {
            source.in_test((0..source.len()).find(|t| source.token(*t) == word).expect("the word is there"))
        };
        assert_eq!(["w", "y", "z", "v"].map(in_test), [false, true, true, false]);
    }

    #[test]
    fn modules_in_files_are_found_with_their_place() {
        let source = scan(
            "mod a;\npub mod b { mod c; }\n#[cfg(test)] mod d;\n#[path = \"f.rs\"] mod e;\nmod g { }\n// mod h;",
        );
        let found: Vec<_> =
            source.module_files().into_iter().map(|m| (m.path.join("::"), m.test, m.file)).collect();
        let row = |path: &str, test, file: Option<&str>| (path.to_owned(), test, file.map(str::to_owned));
        let expected = [
            row("a", false, None),
            row("b::c", false, None),
            row("d", true, None),
            row("e", false, Some("f.rs")),
        ];
        assert_eq!(found, expected);
    }
}
