#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a Tryton database from nothing: tryton_setup.py CONF DATABASE. Runs inside trytond's own code (proteus), without a server.

Two things that trytond does again and again while it makes its tables are spared, since they were half of the time: asking
information_schema what a table has, and judging the records that its own modules bring. What is there afterwards is said in tryton_house.py.
"""
import contextlib
import datetime
import os
import sys
import unittest.mock
from decimal import Decimal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tryton_house as house  # noqa: E402
from trytond.config import config as trytond_config  # noqa: E402

trytond_config.update_etc(sys.argv[1])
from trytond import backend  # noqa: E402
from trytond.backend.postgresql.table import TableHandler  # noqa: E402
from trytond.model import ModelStorage  # noqa: E402
from trytond.pool import Pool  # noqa: E402
from trytond.transaction import Transaction  # noqa: E402

MODULES = ["sale", "purchase", "stock_supply", "purchase_request", "account_invoice_stock"]
SALES_GROUPS = ["Sales", "Stock", "Purchase", "Purchase Request", "Account", "Party Administration"]


COLUMNS = """SELECT a.attname, t.typname, NOT a.attnotnull, CASE WHEN t.typname = 'varchar' AND a.atttypmod > 0 THEN a.atttypmod - 4 END,
    pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped"""
CONSTRAINTS = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass"
FOREIGN_KEYS = """SELECT a.attname, CASE c.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL'
    ELSE 'SET DEFAULT' END
    FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) WHERE c.contype = 'f' AND c.conrelid = %s::regclass"""
INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass"


def read_definitions(self, columns=None, constraints=None, indexes=None):
    """TableHandler._update_definitions from the catalogue itself."""
    cursor, every = Transaction().connection.cursor(), columns is None and constraints is None and indexes is None
    name = f'"{self.table_schema}"."{self.table_name}"'
    if columns or every:
        cursor.execute(COLUMNS, (name,))
        self._columns = {column: {"typname": kind, "notnull": not nullable, "size": size, "default": default}
                         for column, kind, nullable, size, default in cursor}
    if constraints or every:
        cursor.execute(CONSTRAINTS, (name,))
        self._constraints = [row[0] for row in cursor]
        cursor.execute(FOREIGN_KEYS, (name,))
        self._fk_deltypes = dict(cursor.fetchall())
    if indexes or every:
        cursor.execute(INDEXES, (name,))
        self._indexes = [row[0].strip('"') for row in cursor]


@contextlib.contextmanager
def hurried():
    """Debian's modules are what they are: nothing of them is judged again."""
    with unittest.mock.patch.object(TableHandler, "_update_definitions", read_definitions), \
            unittest.mock.patch.object(ModelStorage, "_validate", classmethod(lambda *_, **__: None)):
        yield


def activate(name):
    database = backend.Database(name)
    database.connect()
    if not database.test():
        database.init()
    pool = Pool(name)
    with hurried():
        pool.init(update=["ir"], lang=["en"])
        with Transaction().start(name, 0):
            pool.get("ir.module").update_list()
        pool.init(update=MODULES, lang=["en"], activatedeps=True)
    with Transaction().start(name, 0):
        configuration = pool.get("ir.configuration")(1)
        configuration.language = "en"
        configuration.save()
        with Transaction().set_context(active_test=False):
            admin, = pool.get("res.user").search([("login", "=", "admin")])
        admin.password = house.ADMIN_PASSWORD
        admin.save()


def accounts_of(company):
    from trytond.modules.account.tests.tools import create_chart, create_fiscalyear, get_accounts
    from trytond.modules.account_invoice.tests.tools import set_fiscalyear_invoice_sequences
    for year in (0, 1):  # a run over New Year has its period too
        day = datetime.date.today().replace(month=1, day=1)
        fiscalyear = create_fiscalyear(company, day.replace(year=day.year + year))
        fiscalyear = set_fiscalyear_invoice_sequences(fiscalyear)
        fiscalyear.click("create_period")
    create_chart(company)
    return get_accounts(company)


def fill(name, conf):
    from proteus import Model, config
    config.set_trytond(name, config_file=conf)
    from trytond.modules.account_invoice.tests.tools import create_payment_term
    from trytond.modules.company.tests.tools import create_company, get_company
    from trytond.modules.currency.tests.tools import get_currency
    Party, User = Model.get("party.party"), Model.get("res.user")
    party = Party(name=house.COMPANY)
    party.save()
    create_company(party=party, currency=get_currency("EUR"))
    get_currency("USD")
    company = get_company()
    accounts = accounts_of(company)

    term = create_payment_term()
    term.save()
    configuration = Model.get("account.configuration")(1)
    configuration.default_customer_payment_term = term
    configuration.save()
    method = Model.get("account.invoice.payment.method")(name="Cash", company=company)
    method.journal, = Model.get("account.journal").find([("type", "=", "cash")], limit=1)
    method.credit_account = method.debit_account = accounts["cash"]
    method.save()

    category = Model.get("product.category")(name="Goods", accounting=True)
    category.account_expense, category.account_revenue = accounts["expense"], accounts["revenue"]
    category.save()
    taxed, = category.duplicate({"name": "Taxed goods"})
    taxed.customer_taxes.append(tax_of(company))
    taxed.save()
    supplier = Party(name=house.SUPPLIER)
    supplier.save()
    products = products_of(category, taxed, supplier)

    Location = Model.get("stock.location")
    storage, = Location.find([("code", "=", "STO")])
    warehouse, = Location.find([("type", "=", "warehouse")], limit=1)
    inventory = Model.get("stock.inventory")(location=storage)
    for code, (_, _, quantity) in house.PRODUCTS.items():
        if quantity:
            line = inventory.lines.new(product=products[code])
            line.quantity, line.expected_quantity = float(quantity), 0.0
    inventory.click("confirm")
    point = Model.get("stock.order_point")(type="purchase", product=products[house.ORDER_POINT], warehouse_location=warehouse)
    point.min_quantity, point.target_quantity = 10.0, 50.0
    point.save()

    customer = Party(name=house.CUSTOMER)
    customer.contact_mechanisms.new(type="email", value=house.CUSTOMER_EMAIL)
    customer.contact_mechanisms.new(type="phone", value=house.CUSTOMER_PHONE)
    customer.save()

    Group = Model.get("res.group")
    user = User(name="touchbus", login=house.USER, password=house.PASSWORD)
    for group in SALES_GROUPS:
        user.groups.extend(Group.find([("name", "=", group)]))
    user.companies.append(company)
    user.company = company
    user.save()


def tax_of(company):
    from trytond.modules.account.tests.tools import create_tax
    tax = create_tax(Decimal(house.TAX_RATE), company)
    tax.save()
    return tax


def products_of(category, taxed, supplier):
    from proteus import Model
    unit, = Model.get("product.uom").find([("name", "=", "Unit")])
    Template, Supplier = Model.get("product.template"), Model.get("purchase.product_supplier")
    products = {}
    for code, (name, price, _) in house.PRODUCTS.items():
        template = Template(name=name, default_uom=unit, type="goods", salable=True, purchasable=True, list_price=Decimal(price))
        template.account_category = taxed if code in house.TAXED else category
        product, = template.products
        product.suffix_code = code
        product.cost_price = Decimal(price) / 2
        template.save()
        products[code], = template.products
        offer = Supplier(template=template, party=supplier, lead_time=datetime.timedelta(days=5))
        cost = offer.prices.new(quantity=0)
        cost.unit_price = Decimal(price) / 2
        offer.save()
    return products


def main():
    conf, name = sys.argv[1:]
    os.environ["DB_NAME"] = name  # the tools of Tryton's own tests want it
    activate(name)
    fill(name, conf)


main()
