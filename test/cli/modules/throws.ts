throw new Error("SMTP_URL is not set\nand more")
