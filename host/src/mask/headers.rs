use super::Masker;

/// Schemes whose name is kept in front of the masked credentials.
const SCHEMES: &[&str] = &["basic", "bearer", "digest", "token"];

impl Masker<'_> {
    /// Headers as `(name, value)` in their order: values of secret headers masked whole, except that an authorization
    /// keeps its scheme; known secrets and secret parameters masked in all others.
    pub fn headers<'h>(&self, headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Vec<(String, String)> {
        headers.into_iter().map(|(name, value)| (self.text(name), self.header(name, value))).collect()
    }

    fn header(&self, name: &str, value: &str) -> String {
        if value.is_empty() || !self.rules.is_secret_header(name) {
            return self.text(value);
        }
        match value.split_once(' ') {
            Some((scheme, credentials))
                if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) && !credentials.is_empty() =>
            {
                format!("{scheme} {}", self.mask(credentials))
            }
            _ => self.mask(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::promise::with_masker;

    #[test]
    fn secret_headers_are_masked_whole_and_others_by_value() {
        with_masker(&["s3cret-value"], |masker| {
            let mask = masker.mask("s3cret-value");
            let of = |value| masker.mask(value);
            for (name, value, expected) in [
                ("Authorization", "Bearer s3cret-value", format!("Bearer {mask}")),
                ("authorization", "Basic dXNlcjpwYXNz", format!("Basic {}", of("dXNlcjpwYXNz"))),
                ("Authorization", "s3cret-value", mask.clone()),
                ("Authorization", "some thing else", of("some thing else")),
                ("Set-Cookie", "sid=abc; Path=/", of("sid=abc; Path=/")),
                ("X-Api-Key", "abc", of("abc")),
                ("X-Api-Key", "", String::new()),
                ("WWW-Authenticate", "Basic realm=\"panel\"", "Basic realm=\"panel\"".into()),
                (
                    "Location",
                    "https://p.example/?token=s3cret-value&a=1",
                    format!("https://p.example/?token={mask}&a=1"),
                ),
                ("X-Echo", "you sent s3cret-value.", format!("you sent {mask}.")),
                ("Content-Type", "application/json", "application/json".into()),
            ] {
                let masked = masker.headers([(name, value)]);

                assert_eq!(masked, [(name.to_owned(), expected)]);
                assert_eq!(masker.headers([(name, masked[0].1.as_str())]), masked);
            }
        });
    }
}
