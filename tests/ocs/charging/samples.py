"""A small catalogue for tests of single decisions."""

from ocs.rating.catalogue_file import parse_catalogue

CATALOGUE = parse_catalogue("""\
version: sample
currency: EUR
quotas:
  octets: {default: 1000, maximum: 5000, minimum: 10, validity: 10 min, threshold: 10 %}
  seconds: {default: 60 s, maximum: 600 s, minimum: 1 s, validity: 10 min, threshold: 0 %}
services:
  internet: {context: 32251, rating_group: 10, unit: octets}
  portal: {context: 32251, rating_group: 20, unit: octets}
  streaming: {context: 32251, rating_group: 30, unit: octets}
  roaming: {context: 32251, rating_group: 40, unit: octets}
  voice: {context: 32260, rating_group: 100, unit: seconds}
  sms: {context: 32274, rating_group: 200, unit: events}
default_rating_groups:
  - {context: 32251, rating_group: 10}
  - {context: 32274, rating_group: 200}
offers:
  basic:
    name: Basic
    prices:
      internet: 0.000100 per 100
      streaming: 0.000200 per 100
      portal: free
      voice: 0.06 per min
      sms: 0.09 per event
  data:
    name: Data
    price: 4.99
    allowances:
      - {id: data, amount: 10000, services: [internet, streaming], validity: 1 d}
  kids:
    name: Kids
    allowances:
      - {id: data, amount: 5000, services: [internet]}
    barred: [streaming]
""")
"""Rating group 40 is in no offer."""
