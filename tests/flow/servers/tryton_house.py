# SPDX-License-Identifier: Apache-2.0
"""What stands in the Tryton that tryton_setup.py makes: the names that flows and the set-up share."""
DATABASE = "erp"
COMPANY = "Touchbus Trading"
SUPPLIER = "Lumen Supplies"
CUSTOMER = "Ana Kos"  # was there before touchbus: found by her verified keys
CUSTOMER_EMAIL = "ana.kos@klant.example"
CUSTOMER_PHONE = "+31 20 555 0142"
USER, PASSWORD = "touchbus", 'Kite "wind" & sqy-8'
ADMIN_PASSWORD = "Jdm plow-73 qix"
# code: name, list price, in stock
PRODUCTS = {
    "LAMP-1": ("Lamp", "19.90", 5000),
    "DESK-1": ("Desk", "249.00", 5000),
    "CABLE-1": ("Cable", "4.5", 5000),
    "CHAIR-1": ("Chair", "89.00", 0),  # none in stock: the order point asks for a purchase
}
ORDER_POINT = "CHAIR-1"
TAXED, TAX_RATE = {"DESK-1"}, ".21"  # list prices are without
