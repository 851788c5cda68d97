//! Which column of a file holds which of our fields.

use crate::failure::Failure;

/// What a subscriber is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    User,
    Product,
    Grant,
    From,
    Until,
    Through,
}

const FIELDS: [(&str, Field); 6] = [
    ("user", Field::User),
    ("product", Field::Product),
    ("grant", Field::Grant),
    ("from", Field::From),
    ("until", Field::Until),
    ("through", Field::Through),
];

impl Field {
    pub(crate) fn name(self) -> &'static str {
        let of = FIELDS.iter().find(|(_, field)| *field == self);
        of.map_or("", |(name, _)| name)
    }
}

/// Where a field's value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the column of that name.
    Column(String),
    /// In every row the same.
    Constant(String),
}

/// A whole mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping(Vec<(Field, Place)>);

impl Mapping {
    /// Reads `user=Email,product==pro,through="Valid until"`; `product` is what `--product` says.
    pub(crate) fn read(texts: &[String], product: Option<&str>) -> Result<Self, Failure> {
        let mut mapping = Self::default();
        for text in texts {
            for pair in pairs(text) {
                let (name, place) = one(&pair)?;
                mapping.add(name, place)?;
            }
        }
        if let Some(product) = product {
            let place = Place::Constant(product.to_owned());
            mapping.add(Field::Product, place)?;
        }
        for needed in [Field::User, Field::Product] {
            if mapping.place(needed).is_none() {
                let more = if needed == Field::Product {
                    ", or name the product of all rows with --product"
                } else {
                    ""
                };
                return Err(Failure::Usage(format!(
                    "--map says nothing of `{name}`: add {name}=COLUMN{more}",
                    name = needed.name()
                )));
            }
        }
        if mapping.place(Field::Until).is_some() && mapping.place(Field::Through).is_some() {
            return Err(Failure::Usage(
                "--map names both `until` and `through`: keep the one the column means, the first day without access or \
                 the last one with it"
                    .to_owned(),
            ));
        }
        Ok(mapping)
    }

    fn add(&mut self, field: Field, place: Place) -> Result<(), Failure> {
        if self.place(field).is_some() {
            let name = field.name();
            let message = format!("`{name}` is mapped twice: leave one of them out");
            return Err(Failure::Usage(message));
        }
        self.0.push((field, place));
        Ok(())
    }

    pub(crate) fn place(&self, field: Field) -> Option<&Place> {
        let found = self.0.iter().find(|(of, _)| *of == field);
        found.map(|(_, place)| place)
    }
}

/// Splits at commas outside of double quotes.
fn pairs(text: &str) -> Vec<String> {
    let mut pairs = vec![String::new()];
    let mut is_quoted = false;
    for letter in text.chars() {
        is_quoted ^= letter == '"';
        match pairs.last_mut() {
            Some(last) if letter != ',' || is_quoted => last.push(letter),
            Some(_) | None => pairs.push(String::new()),
        }
    }
    pairs.retain(|pair| !pair.trim().is_empty());
    pairs
}

fn one(pair: &str) -> Result<(Field, Place), Failure> {
    let refused = |what: &str| {
        Failure::Usage(format!(
            "--map `{pair}`: {what}. write FIELD=COLUMN, or FIELD==VALUE for what is the same in every row"
        ))
    };
    let (name, value) = pair.split_once('=').ok_or_else(|| refused("no `=`"))?;
    let found = FIELDS.iter().find(|(known, _)| *known == name.trim());
    let Some((_, field)) = found else {
        let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        return Err(refused(&format!(
            "there is no field `{}`; there are: {}",
            name.trim(),
            known.join(", ")
        )));
    };
    let constant = value.strip_prefix('=');
    let value = unquoted(constant.unwrap_or(value));
    if value.is_empty() {
        return Err(refused("nothing after `=`"));
    }
    let place = match constant {
        Some(_) => Place::Constant(value),
        None => Place::Column(value),
    };
    Ok((*field, place))
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text).trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::{Field, Mapping, Place};

    fn read(text: &str) -> Result<Mapping, String> {
        Mapping::read(&[text.to_owned()], None).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn columns_and_constants_are_told_apart() {
        let mapping = read("user=E-mail, product==pro,through=\"Valid, until\"").unwrap();
        let column = |name: &str| Some(Place::Column(name.to_owned()));
        assert_eq!(mapping.place(Field::User).cloned(), column("E-mail"));
        assert_eq!(
            mapping.place(Field::Through).cloned(),
            column("Valid, until")
        );
        let constant = Some(Place::Constant("pro".to_owned()));
        assert_eq!(mapping.place(Field::Product).cloned(), constant);
        assert_eq!(mapping.place(Field::Grant), None);
    }

    #[test]
    fn what_maps_nothing_is_refused() {
        for (text, why) in [
            ("user=Email", "nothing of `product`"),
            ("product==pro", "nothing of `user`"),
            ("user=Email,product=Plan,until=A,through=B", "both"),
            ("user=Email,user=Id,product=Plan", "twice"),
            ("user=Email,plan=Plan", "no field `plan`"),
            ("user=Email,product", "no `=`"),
            ("user=Email,product==", "nothing after"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
